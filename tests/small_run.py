"""The run that several files share: ten evaluations, a checkpoint after every other one."""

FLAGS = ["--config=dream", "--smoke", "--seeds=2", "--config.training.trials=160"]
EVALUATIONS, PERIOD, SEEDS = 10, 16, 2
