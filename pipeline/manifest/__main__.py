"""`python -m pipeline.manifest --write-docs` writes the option table and the JSON schema into docs/."""

from pipeline.manifest.docs import main

if __name__ == "__main__":
    main()
