"""One job per training run, or per bundle of short ones (resources.cells_per_job in params.yaml); the choice between.

With a search, the trials come first (from rung to rung), then one selection of each row's setting, then the final runs.
"""


localrules:
    promote,
    select,


# Bundled experiments have rules of their own, so that every manifest has one rule that makes it.
SINGLE = [name for name in PARAMS.experiments if PARAMS.experiments[name].resources.cells_per_job == 1]

# What names a cell in paths and for the command line.
CELL = "{experiment}/{model}/{weighting}/{run}"


rule train:
    """One cell: model, weighting, seed or trial; continues from its last checkpoint."""
    input:
        prepared=lambda wildcards: prepared_of(
            wildcards.experiment, [manifest_in(places.cell(CELL)).format(**wildcards)]
        ),
        settings=lambda wildcards: settings_of([manifest_in(places.cell(CELL)).format(**wildcards)]),
    output:
        update(manifest_in(places.cell(CELL))),
    log:
        log_of("train", f"{CELL}.{{key}}"),
    benchmark:
        benchmark_of(f"{CELL}.{{key}}")
    wildcard_constraints:
        experiment="|".join(SINGLE) or "(?!)",
    threads: lambda wildcards: PARAMS.runtime.threads * PARAMS.experiments[wildcards.experiment].training.processes
    resources:
        gpu=resource_of("gpu"),
        mem_mb=resource_of("memory_mb"),
        runtime=resource_of("minutes"),
    params:
        cell=CELL,
    # exec: at a time limit the cluster asks every process to stop, and ends the job as soon as the shell has done so;
    # without a shell it waits for the run to save.
    shell:
        "exec mtlbench train {params.cell:q}"
        " --key {wildcards.key:q}"
        " --wait"
        " --record-divergence"
        " > {log:q} 2>&1"


for name, number, bundle in bundles():

    rule:
        """Several short cells, so many at a time; those that are done cost nothing."""
        name:
            f"train-{name}-{number}"
        input:
            prepared=prepared_of(name, [cell.manifest for cell in bundle]),
            settings=settings_of([str(cell.manifest) for cell in bundle]),
        output:
            [update(str(cell.manifest)) for cell in bundle],
        log:
            log_of("train", f"{name}/bundle{number}.{bundle[0].key}"),
        benchmark:
            benchmark_of(f"{name}/bundle{number}.{bundle[0].key}")
        threads: PARAMS.runtime.threads * PARAMS.experiments[name].training.processes * at_once(name, bundle)
        resources:
            gpu=PARAMS.experiments[name].resources.gpu,
            mem_mb=PARAMS.experiments[name].resources.memory_mb * at_once(name, bundle),
            runtime=PARAMS.experiments[name].resources.minutes * -(-len(bundle) // at_once(name, bundle)),
        params:
            at_once=at_once(name, bundle),
            cells=[cell.path for cell in bundle],
            planned=[f"--key={cell.key}" for cell in bundle],
        shell:
            "exec mtlbench train {params.cells:q}"
            " --at-once {params.at_once}"
            " {params.planned:q}"
            " --wait"
            " --record-divergence"
            " > {log:q} 2>&1"


rule promote:
    """The trials of every row that go on from a rung; seconds."""
    input:
        trials=lambda wildcards: ancient(trials_of(wildcards.experiment, int(wildcards.rung))),
    output:
        update(manifest_in(places.selection("{experiment}", "{rung}"))),
    log:
        log_of("promote", "{experiment}.{rung}.{key}"),
    shell:
        "mtlbench select {wildcards.experiment:q}"
        " --rung {wildcards.rung:q}"
        " --key {wildcards.key:q}"
        " > {log:q} 2>&1"


rule select:
    """The setting of every row that the final runs train, chosen from the trials; seconds."""
    input:
        trials=lambda wildcards: ancient(trials_of(wildcards.experiment)),
    output:
        update(manifest_in(places.selection("{experiment}"))),
    log:
        log_of("select", "{experiment}.{key}"),
    shell:
        "mtlbench select {wildcards.experiment:q} --key {wildcards.key:q} > {log:q} 2>&1"
