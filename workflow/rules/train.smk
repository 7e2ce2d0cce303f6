"""One job per training run."""


def resource_of(name):
    """A function of the wildcards: what params.yaml says that a run of the experiment needs."""
    return lambda wildcards: getattr(PARAMS.experiments[wildcards.experiment].resources, name)


rule train:
    """One cell: model, weighting, seed; continues from its last checkpoint."""
    input:
        prepared=lambda wildcards: ancient(str(dataset_of(wildcards.experiment).manifest)),
    output:
        update("results/cells/{experiment}/{model}/{weighting}/seed{seed}/manifest.{key}.json"),
    log:
        "work/logs/train/{experiment}/{model}/{weighting}/seed{seed}.{key}.log",
    threads: lambda wildcards: PARAMS.runtime.threads * PARAMS.experiments[wildcards.experiment].training.processes
    resources:
        gpu=resource_of("gpu"),
        mem_mb=resource_of("memory_mb"),
        runtime=resource_of("minutes"),
    params:
        cell="{experiment}/{model}/{weighting}/seed{seed}",
    # exec: at a time limit the cluster asks every process to stop, and ends the job as soon as the shell has done so;
    # without a shell it waits for the run to save.
    shell:
        "exec mtlbench train {params.cell:q}"
        " --key {wildcards.key:q}"
        " --wait"
        " --record-divergence"
        " > {log:q} 2>&1"
