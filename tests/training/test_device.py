"""What cannot compute is refused in one line, before anything is tried on it."""

import pytest
import torch

from mtlbench.system.errors import ParamsError
from mtlbench.training import device


@pytest.mark.parametrize(
    "name",
    ["meta", "mps", "xpu", "cpu:0", "cuda:", "cuda:-1", "cuda:99999999999", "", "gpu", "Cuda", "cuda:0\n", "cuda:٣"],
)
def test_devices_that_cannot_train_are_refused(name: str) -> None:
    with pytest.raises(ParamsError, match=r"^runtime\.device: expected auto, cpu, cuda or cuda:<n>, found '"):
        device.choose(name)


def test_gpus_that_are_not_there_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose("auto") == device.choose("cpu") == torch.device("cpu")
    with pytest.raises(ParamsError, match="'cuda' is not available here; set it to auto or cpu"):
        device.choose("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.choose("auto") == torch.device("cuda")
    assert device.choose("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ParamsError, match="expected cuda:0 to cuda:1, the GPUs here, found 'cuda:2'"):
        device.choose("cuda:2")


@pytest.mark.parametrize("threads", [0, -1, device.MOST_THREADS + 1, 10**6, 10**40])
def test_numbers_of_threads_that_crash_are_refused(threads: int) -> None:
    before = torch.get_num_threads()
    with pytest.raises(ParamsError, match=r"runtime\.threads: expected 1 to 1024 CPU threads .*, found"):
        device.make_deterministic(threads)
    assert torch.get_num_threads() == before
