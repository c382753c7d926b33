"""A Lightning program for tests in one process and in two. The first sample of a clip is its number."""

import lightning
import torch
from torch.utils.data import DataLoader

from rankaudio import CNN2d, LengthBucketSampler, LogMel, LSEPLoss, Lwlrap, Tagger, pad_collate
from rankaudio.integrations.torchmetrics import LwlrapMetric


def clips(count=23):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(600, 2400, (count,), generator=generator).tolist()
    waves = [torch.randn(n, generator=generator) for n in lengths]
    for number, wave in enumerate(waves):
        wave[0] = number
    return waves, (torch.rand(count, 4, generator=generator) < 0.4).float()


def small_tagger():
    return Tagger(LogMel(n_fft=128, hop_length=64, n_mels=16), CNN2d(4, n_blocks=2, base_depth=4))


class EpochRecorder(LengthBucketSampler):
    """A sampler that records the epochs that are set."""

    epochs = ()

    def set_epoch(self, epoch):
        self.epochs = (*self.epochs, epoch)
        super().set_epoch(epoch)


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.tagger = small_tagger()
        self.criterion, self.metric, self.ours = LSEPLoss(), LwlrapMetric(4), Lwlrap(4)
        self.seen, self.values = {}, []

    def loader(self, **settings):
        waves, target = clips()
        self.sampler = EpochRecorder([len(wave) for wave in waves], max_samples=8000, **settings)
        items = list(zip(waves, target, strict=True))
        return DataLoader(items, batch_sampler=self.sampler, collate_fn=pad_collate)

    def train_dataloader(self):
        loader = self.loader(seed=1)
        self.trained = self.sampler
        return loader

    def val_dataloader(self):
        return self.loader(shuffle=False)

    def training_step(self, batch):
        self.seen.setdefault(self.current_epoch, []).append(batch.waveform[:, 0].long().tolist())
        loss = self.criterion(self.tagger(batch.waveform, batch.lengths), batch.target)
        self.log("loss", loss, batch_size=len(batch.lengths))
        return loss

    def validation_step(self, batch):
        scores = self.tagger(batch.waveform, batch.lengths)
        self.metric(scores, batch.target)
        self.ours.update(scores, batch.target)
        self.log("lwlrap", self.metric, on_step=False, on_epoch=True, batch_size=len(batch.lengths))

    def on_validation_epoch_end(self):
        self.values.append(float(self.ours.compute()))
        self.ours.reset()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), amsgrad=True)


def fit(**settings):
    torch.manual_seed(0)
    module, logged = Module(), []

    class Keep(lightning.Callback):
        def on_validation_end(self, trainer, module):
            logged.append(float(trainer.callback_metrics["lwlrap"]))

    lightning.Trainer(
        accelerator="cpu",
        max_epochs=2,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Keep()],
        **settings,
    ).fit(module)
    return {
        "seen": module.seen,
        "epochs": module.trained.epochs,
        "ours": module.values,
        "logged": logged,
        "state": module.tagger.state_dict(),
    }
