"""All methods by the program's names."""

from . import baselines, fedpac, fedselect, pruning

METHODS = {
    "local": baselines.Local,
    "fedavg": baselines.FedAvg,
    "fedavg-ft": baselines.FedAvgFt,
    "fedprox": baselines.FedProx,
    "scaffold": baselines.Scaffold,
    "ditto": baselines.Ditto,
    "pfedme": baselines.PFedMe,
    "per-fedavg": baselines.PerFedAvg,
    "apfl": baselines.Apfl,
    "fedper": baselines.FedPer,
    "fedrep": baselines.FedRep,
    "lg-fedavg": baselines.LgFedAvg,
    "fedbabu": baselines.FedBabu,
    "fedbn": baselines.FedBn,
    "fedalt": baselines.FedAlt,
    "fedsim": baselines.FedSim,
    "fedpac": fedpac.FedPac,
    "lotteryfl": pruning.LotteryFl,
    "sub-fedavg": pruning.SubFedAvg,
    "fedselect-ltn": fedselect.FedSelectLtn,
    "fedselect": fedselect.FedSelect,
}
