"""The command `cog`: one short file a command. Only here do errors become exit codes."""
