"""From finished cells to the tidy table and the report."""


localrules:
    aggregate,


rule aggregate:
    """The results of all cells of an experiment in one tidy table; seconds, so not worth a job of a cluster."""
    input:
        cells=lambda wildcards: ancient(cell_manifests(wildcards.experiment)),
    output:
        update(manifest_in(places.summary("{experiment}"))),
    log:
        log_of("aggregate", "{experiment}.{key}"),
    shell:
        "mtlbench aggregate {wildcards.experiment:q} --key {wildcards.key:q} > {log:q} 2>&1"


# One rule for each experiment: the manifest has a key in its name and the files for `snakemake --report` have none,
# and Snakemake wants the same wildcards in all outputs of a rule. update(): a report that fails leaves the earlier one.
for experiment in PARAMS.experiments:

    rule:
        """Tables, figures and the page of an experiment; with captions for `snakemake --report`."""
        name:
            f"report_{experiment}"
        input:
            summary=ancient(str(pages.summary_manifest(PARAMS, experiment))),
            cells=ancient(cell_manifests(experiment)),
            selection=selection_of(experiment),
        output:
            manifest=update(str(pages.report_manifest(PARAMS, experiment))),
            captions=update(str(places.report(experiment) / "captions.json")),
            table=report(
                update(str(places.report(experiment) / "table.html")),
                caption="../report/table.rst",
                category=experiment,
                subcategory="tables",
                labels={"shows": "comparison"},
            ),
            cost=report(
                update(str(places.report(experiment) / "cost.html")),
                caption="../report/cost.rst",
                category=experiment,
                subcategory="tables",
                labels={"shows": "cost"},
            ),
            figures=report(
                update(directory(str(places.report(experiment) / "figures"))),
                patterns=["{figure}.svg", "{figure,(attention|compare|panel)_.+}.png"],
                caption="../report/figure.rst",
                category=experiment,
                subcategory="figures",
                labels={"shows": "{figure}"},
            ),
        log:
            log_of("report", experiment),
        threads: PARAMS.runtime.workers
        resources:
            mem_mb=8000,
            runtime=60,
        params:
            experiment=experiment,
            key=key_of(pages.report_manifest(PARAMS, experiment)),
        shell:
            "mtlbench report {params.experiment:q} --key {params.key:q} > {log:q} 2>&1"
