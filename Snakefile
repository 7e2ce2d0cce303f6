"""mtlbench: raw data in, comparison tables and learning curves out.

    snakemake --profile workflow/profiles/local demo      one experiment's report
    snakemake --profile slurm                              the experiments under run:, on a cluster

Everything that can be built is described in params.yaml.
"""


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    prepared,
    cells,
    summaries,
    unknown,


rule all:
    """The reports of the experiments under run:."""
    default_target: True
    input:
        [report_targets(name) for name in PARAMS.run],


rule prepared:
    """The prepared datasets of the experiments under run:."""
    input:
        sorted({str(dataset_of(name).manifest) for name in PARAMS.run}),


rule cells:
    """Every training run of the experiments under run:."""
    input:
        [cell_manifests(name) + promotions_of(name) for name in PARAMS.run],


rule summaries:
    """The tidy tables of the experiments under run:."""
    input:
        [str(pages.summary_manifest(PARAMS, name)) for name in PARAMS.run],


rule unknown:
    """Any other word on the command line: not an experiment."""
    input:
        no_such_experiment,
    output:
        "{word}",
    wildcard_constraints:
        word=r"\w+",


for name in PARAMS.experiments:

    rule:
        """The report of one experiment."""
        name:
            name
        input:
            report_targets(name),
        localrule: True


onstart:
    claim_checkout()
    forget_backups()


onerror:
    print_failed_logs()
    # Finished cells stay usable: the report of what is there, with a missing result and its reason for what is not.
    print_partial_reports()
