"""Raw files and prepared arrays."""


localrules:
    download,


rule download:
    """The raw files of a dataset; on the machine that runs Snakemake, because cluster nodes are often offline."""
    output:
        update(manifest_in(places.raw("{folder}"))),
    log:
        log_of("download", "{folder}.{key}"),
    params:
        dataset=lambda wildcards: RAW[manifest_in(places.raw("{folder}")).format(**wildcards)],
    shell:
        "exec mtlbench download {params.dataset:q} > {log:q} 2>&1"


rule prepare:
    """The arrays of a dataset."""
    input:
        raw=raw_of,
    output:
        update(manifest_in(places.prepared("{dataset}"))),
    log:
        log_of("prepare", "{dataset}.{key}"),
    threads: PARAMS.runtime.workers
    resources:
        mem_mb=4000,
        runtime=240,
    shell:
        "exec mtlbench prepare {wildcards.dataset:q} --key {wildcards.key:q} > {log:q} 2>&1"
