"""Runs ``vllm serve`` in vLLM's environment, whatever the name of the distribution that carries it.

The console script asks for the version of a distribution called ``vllm``, which a repackage for CPUs has not, and the
server's module, which needs none, has no ``--headless``. Run as a program: ``python vllm_serve.py serve --model ...``.
"""


def main() -> None:
    """Parse and run the subcommand, as the console script does."""
    from vllm.entrypoints.cli.serve import ServeSubcommand
    from vllm.entrypoints.serve.utils.api_utils import cli_env_setup
    from vllm.logger import configure_logging_from_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    cli_env_setup()
    serve = ServeSubcommand()
    parser = FlexibleArgumentParser(description="vLLM")
    serve.subparser_init(parser.add_subparsers(dest="subparser"))
    told = parser.parse_args()
    configure_logging_from_args(told)
    serve.validate(told)
    serve.cmd(told)


if __name__ == "__main__":  # engine processes import this module anew
    main()
