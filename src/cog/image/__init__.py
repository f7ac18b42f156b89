"""From a cog.yaml to an image: planned as typed steps, written as a Dockerfile, built by the engine that is there."""
