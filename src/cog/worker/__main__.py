"""`python -m cog.worker`: what the server starts for each worker."""

from cog.worker.main import main

if __name__ == "__main__":
    main()
