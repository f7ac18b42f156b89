"""What a model imports: everything that `import cog` offers. Standard library only."""
