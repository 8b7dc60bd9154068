"""A plain training loop of PyTorch, with a model whose forward and backward pass are fastmlp's.

Needs PyTorch:  python examples/torch_training.py
"""

import torch
from torch import nn

import fastmlp.torch


def main() -> None:
    torch.manual_seed(0)
    x = torch.linspace(-3, 3, 512).reshape(-1, 1)
    y = torch.sin(2 * x)
    model = fastmlp.torch.MLP([1, 64, 64, 1], activation="tanh")
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(1, 16):
        for rows in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
        if epoch % 5 == 0:
            with torch.no_grad():
                print(f"epoch {epoch}: loss {nn.functional.mse_loss(model(x), y):.5f}")

    plain = fastmlp.torch.to_sequential(model)
    print(f"{type(plain).__name__} with the same parameters: {nn.functional.mse_loss(plain(x), y):.5f}")


if __name__ == "__main__":
    main()
