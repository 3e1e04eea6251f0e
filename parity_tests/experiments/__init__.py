"""A section of the guide each: train both twins, check the outcome, draw the figures."""

from collections.abc import Callable

from parity_tests.experiments import (
    activations,
    architecture,
    convolution_kernels,
    decision_surface,
    digits_cnn,
    feedforward,
    forward_trace,
    gates,
    gradient_descent,
    learning_rates,
    limits,
    losses,
    neuron,
    optimizer_marathon,
    optimizer_race,
    pooling,
    schedule_gallery,
    shapes,
    weight_decay,
    xor,
)
from parity_tests.experiments.outcome import Outcome

EXPERIMENTS: dict[str, Callable[..., Outcome]] = {
    "limits": limits.run,
    "gates": gates.run,
    "neuron": neuron.run,
    "activations": activations.run,
    "losses": losses.run,
    "architecture": architecture.run,
    "forward_trace": forward_trace.run,
    "gradient_descent": gradient_descent.run,
    "xor": xor.run,
    "decision_surface": decision_surface.run,
    "feedforward": feedforward.run,
    "optimizer_race": optimizer_race.run,
    "optimizer_marathon": optimizer_marathon.run,
    "schedule_gallery": schedule_gallery.run,
    "learning_rates": learning_rates.run,
    "weight_decay": weight_decay.run,
    "convolution_kernels": convolution_kernels.run,
    "pooling": pooling.run,
    "shapes": shapes.run,
    "digits_cnn": digits_cnn.run,
}
