"""`python -m scratch.training TASK ...`: train, with Ctrl-C and --resume."""

import sys

from datasets.log import interruptible, say, show
from datasets.settings import parse
from scratch.training.trainer import Trainer


def main() -> None:
    """Train as the command line says."""
    settings, options = parse("scratch")
    try:
        trainer = Trainer(settings, options.out, resume=options.resume, overwrite=options.overwrite)
        with interruptible() as interrupted:
            outcome = trainer.run(lambda record: print(show(record), flush=True), interrupted)
    except (ValueError, TypeError, OSError, RuntimeError, ArithmeticError, ImportError) as error:
        sys.exit(f"scratch.training: {error}")
    task = settings.as_task
    print(say(outcome, task.target, task.metric, options.out))
    if outcome.status == "interrupted":
        sys.exit(130)


if __name__ == "__main__":
    main()
