"""The process that runs the model, and the words it exchanges with the server. Standard library only: this room
runs inside the model's own environment.
"""
