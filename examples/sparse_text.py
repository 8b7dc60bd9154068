"""Short texts by their words: TF-IDF makes sparse rows of them, and a network reads the entries as they are.

Needs scikit-learn:  pip install 'fastmlp[sklearn]' && python examples/sparse_text.py
"""

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

import fastmlp

TOPICS = ("weather", "kitchen", "harbour", "orchestra")
TEXTS = 4000


def made_texts(rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Texts of twenty words: most of them anybody's, a few of them a topic's own."""
    common = [f"word{number}" for number in range(3000)]
    own = {topic: [f"{topic}{number}" for number in range(400)] for topic in TOPICS}
    topics = rng.integers(0, len(TOPICS), TEXTS)
    texts = [" ".join([*rng.choice(common, 17), *rng.choice(own[TOPICS[topic]], 3)]) for topic in topics]
    return texts, topics


def main() -> None:
    texts, topics = made_texts(np.random.default_rng(0))
    rows = TfidfVectorizer(dtype=np.float32).fit_transform(texts)  # a CSR matrix: nothing makes it dense
    print(f"{rows.shape[0]} texts, {rows.shape[1]} words, {rows.nnz / rows.shape[0]:.1f} of them in a text")

    train, test = slice(0, 3000), slice(3000, TEXTS)
    net = fastmlp.MLP([rows.shape[1], 32, len(TOPICS)], output="softmax", seed=0)
    net.fit(rows[train], topics[train], epochs=10, batch_size=64, optimizer=fastmlp.Adam(3e-3))
    print(f"test accuracy {net.evaluate(rows[test], topics[test])['accuracy']:.4f}")

    probabilities = net.predict(rows[test])
    surest = int(probabilities.max(axis=1).argmax())
    print(f"the surest: {TOPICS[int(probabilities[surest].argmax())]}, {texts[test][surest][:60]} ...")


if __name__ == "__main__":
    main()
