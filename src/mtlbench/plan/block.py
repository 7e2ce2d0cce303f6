"""What all blocks of params.yaml are: frozen, strict, without unknown keys and without infinite numbers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

#: As numpy and torch take them, and as Snakemake's wildcards do.
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Block(BaseModel):
    """A block: every key is typed, an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=(), allow_inf_nan=False)
