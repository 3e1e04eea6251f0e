"""`python -m torch_ref.training TASK ...`: train, with Ctrl-C and --resume.

torchrun --nproc-per-node 2 -m torch_ref.training TASK ...     on several processes or GPUs
"""

import sys

from datasets.log import interruptible, say, show
from datasets.settings import parse
from torch_ref.training.distributed import Ranks, leave, one_first, process_group
from torch_ref.training.trainer import Trainer


def main() -> None:
    """Train as the command line says."""
    with process_group():
        status = _train()
    leave(status)
    if status:
        sys.exit(status)


def _train() -> int:
    with one_first():
        settings, options = parse("torch")
    ranks = Ranks()
    try:
        trainer = Trainer(settings, options.out, resume=options.resume, overwrite=options.overwrite)
        with interruptible() as interrupted:
            outcome = trainer.run(lambda record: print(show(record), flush=True), interrupted)
    except (ValueError, TypeError, OSError, RuntimeError, ArithmeticError, ImportError) as error:
        which = f", rank {ranks.rank} of {ranks.size}" if ranks.size > 1 else ""
        sys.exit(f"torch_ref.training{which}: {error}")
    if ranks.first:
        task = settings.as_task
        print(say(outcome, task.target, task.metric, options.out))
    return 130 if outcome.status == "interrupted" else 0


if __name__ == "__main__":
    main()
