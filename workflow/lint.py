"""`snakemake --lint`, all of whose advice is followed but what is listed here with its reason."""

import re
import subprocess
import sys

#: {start of an advice: why it does not fit}.
NOT_FOLLOWED = {
    "Specify a conda environment or container": "one locked environment runs all rules (requirements.lock, `make env`)",
}


def main() -> None:
    """Exit with 1 when the linter has other advice, with 2 when it did not run."""
    run = subprocess.run(["snakemake", "--lint"], capture_output=True, text=True, check=False)
    advice = re.findall(r"^ {4}\* (.+?):?$", run.stdout + run.stderr, re.M)
    if not advice:
        sys.exit(f"snakemake --lint gave no advice, which it always does: did it run?\n{run.stdout}{run.stderr}")
    other = sorted({text for text in advice if not text.startswith(tuple(NOT_FOLLOWED))})
    if other:
        sys.exit("\n".join(["snakemake --lint:", *other, "", run.stderr]))


if __name__ == "__main__":
    main()
