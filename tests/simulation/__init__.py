"""The real pipeline in a world made from a seed: clock, queue, gateway, package.

    python -m tests.simulation --seeds 2500 --steps 200 --processes 2
    python -m tests.simulation --seed 17 --verbose

Each seed opens twenty accounts and plays steps: customers call, workers take messages,
beat rings, people pay and pause, and in one step of twelve something breaks. After each
step the checker compares what the gateway, the package and the harness have seen with
our rows; when the faults have ended and recovery has run, it asks for the rest.
"""
