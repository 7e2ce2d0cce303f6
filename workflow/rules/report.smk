"""From finished cells to the tidy table and the report."""


localrules:
    aggregate,


rule aggregate:
    """The results of all cells of an experiment in one tidy table; seconds, so not worth a job of a cluster."""
    input:
        cells=lambda wildcards: ancient(cell_manifests(wildcards.experiment)),
    output:
        update("results/summary/{experiment}/manifest.{key}.json"),
    log:
        "work/logs/aggregate/{experiment}.{key}.log",
    shell:
        "mtlbench aggregate {wildcards.experiment:q}"
        " --key {wildcards.key:q}"
        " > {log:q} 2>&1"


rule report:
    """Tables, figures and the page of an experiment."""
    input:
        summary=lambda wildcards: ancient(str(grid.summary_manifest(PARAMS, wildcards.experiment))),
        cells=lambda wildcards: ancient(cell_manifests(wildcards.experiment)),
    output:
        update("results/report/{experiment}/manifest.{key}.json"),
    log:
        "work/logs/report/{experiment}.{key}.log",
    resources:
        mem_mb=8000,
        runtime=60,
    shell:
        "mtlbench report {wildcards.experiment:q}"
        " --key {wildcards.key:q}"
        " > {log:q} 2>&1"
