"""The script of the small checkout in other shapes: where its model stands, and with work that no clock ends."""

from textwrap import indent

from checkout import TRAIN

_MODEL = "model = Mixer(Sizes(tokenizer.get_vocab_size()))\n"


def changed(text: str, *pairs: tuple[str, str]) -> str:
    """Each old text, which must stand there once, becomes the new one."""
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def in_main(text: str) -> str:
    """Everything from the first setting on, in a function."""
    head, body = text.split("RATE = 3e-3\n")
    return f"{head}def main():\n{indent('RATE = 3e-3' + chr(10) + body, '    ')}\n\nmain()\n"


SHAPES = {
    "at the top": TRAIN,
    "in main()": in_main(TRAIN),
    "compiled": changed(
        TRAIN, ("loader = make", "model = torch.compile(model, dynamic=False)\nloader = make")
    ),
    "wrapped": changed(TRAIN, ("loader = make", "model = nn.DataParallel(model)\nloader = make")),
    "loader before the model": changed(
        TRAIN,
        (_MODEL, f"early = make_dataloader(tokenizer, 16, MAX_SEQ_LEN, 'train')\nnext(early)\n{_MODEL}"),
    ),
    "another constructor": changed(
        TRAIN,
        (
            _MODEL,
            f"with torch.device('meta'):\n    {_MODEL}model.to_empty(device='cpu')\n"
            "model.count = torch.arange(1, 4097).float()\n",
        ),
    ),
    "an object that holds the model": changed(
        TRAIN,
        (
            "loader = make",
            "class Trainer:\n    def __init__(self, model):\n        self.inner = model\n\n\n"
            "holder = Trainer(model)\nloader = make",
        ),
    ),
    "logits only with targets": changed(
        TRAIN,
        ("    return logits\n", "    return logits[:, [-1]], None\n"),
        ("return F.cross_entropy(", "return logits, F.cross_entropy("),
        ("loss = model(x, y)", "_, loss = model(x, y)"),
    ),
    "evaluated first": changed(
        TRAIN, ("spent, step =", "evaluate_bpb(model, tokenizer, ROWS)\nspent, step =")
    ),
}
FIXED = changed(TRAIN, ("if step > 10 and spent >= TIME_BUDGET:", "if step >= 60:"))
