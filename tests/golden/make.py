#!/usr/bin/env python3
"""Writes the golden vectors beside this file: both operators in numpy float64, from the formulas. Deterministic.

make.py
NAME_{x,weight,bias,residual}.npy are float32 inputs, NAME_{y,mean,rstd}.npy the float64 outputs (mean: layer norm alone).
"""
import os

import numpy as np

EPS = np.float64(np.float32(1e-5))
HERE = os.path.dirname(os.path.abspath(__file__))


def save(name, array):
    np.save(os.path.join(HERE, name + ".npy"), array)


def make(op, columns, rows, residual, offset, weight_offset):
    rng = np.random.Generator(np.random.PCG64([columns, rows, residual]))
    name = f"{op}_{columns}"
    x = (rng.standard_normal((rows, columns)) * 3 + offset).astype(np.float32)
    weight = rng.standard_normal(columns).astype(np.float32)
    bias = rng.standard_normal(columns).astype(np.float32)
    h = x
    if residual:
        r = rng.standard_normal((rows, columns)).astype(np.float32)
        h = r + x  # float32: statistics are those of h as rounded
        save(name + "_residual", r)
    h = h.astype(np.float64)
    mean = h.mean(axis=1, keepdims=True) if op == "layer_norm" else np.zeros((rows, 1))
    rstd = 1 / np.sqrt(np.mean((h - mean) ** 2, axis=1, keepdims=True) + EPS)
    y = (h - mean) * rstd * (weight_offset + weight.astype(np.float64)) + bias
    for suffix, array in [("x", x), ("weight", weight), ("bias", bias), ("y", y), ("rstd", rstd[:, 0])]:
        save(f"{name}_{suffix}", array)
    if op == "layer_norm":
        save(name + "_mean", mean[:, 0])


for op_name in ("layer_norm", "rms_norm"):
    gemma = 1.0 if op_name == "rms_norm" else 0.0
    make(op_name, 5, 7, False, 0, gemma)
    make(op_name, 64, 4, True, 10, gemma)
    make(op_name, 769, 2, True, -1000, gemma)
