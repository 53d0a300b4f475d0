"""`python -m deploy …` is `stadion …`, where the script is not on the path."""

from deploy.cli import main

main()
