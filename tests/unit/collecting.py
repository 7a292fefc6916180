"""Sources as the configuration gives them, and what is collected from them."""

import json
from pathlib import Path

from kalam.corpus.collect import collect

COMMON = {
    "register": "verse",
    "licence": "CC0",
    "author": "অজানা",
    "retrieved": None,
    "max_records": None,
    "sampling": "first",
    "extraction": "article",
}
TEXT_FILES = {"document": "file", "max_bytes": 10**8, "title": "none"}
FILES = {**COMMON, **TEXT_FILES, "kind": "files", "fields": {}, "group_by": "field", "retrieved": "2020-02-23"}
HUB = {**COMMON, "kind": "hub", "revision": "main", "subset": None, "split": "train", "fields": {}, "group_by": "field"}
READY = {
    **COMMON,
    **TEXT_FILES,
    "kind": "splits",
    **dict.fromkeys(("folder", "dataset", "revision", "subset")),
    "fields": {},
}
SITE = {
    **COMMON,
    "kind": "site",
    "start": ["http://bangla.localhost/"],
    "serve": "site",
    "max_pages": 100,
    "max_depth": 8,
    "delay": 0,
    "retries": 0,
    "timeout": 5,
    "private_addresses": False,
    "user_agent": "kalam-crawler",
}
BANGLA = [
    "আজি ঝরো ঝরো মুখর বাদলদিনে জানি নে, জানি নে কিছুতে কেন মন লাগে না, এই চঞ্চল সজল পবন-বেগে উদ্‌ভ্রান্ত মেঘে মন চায়",
    "মেঘের পরে মেঘ জমেছে, আঁধার করে আসে, আমায় কেন বসিয়ে রাখ একা দ্বারের পাশে, কাজের দিনে নানা কাজে থাকি নানা লোকের মাঝে",
    "র‍্যাব এল ভোরের আগে নদীর ধারে, শাঁখ বাজে দূরে, বৃষ্টি পড়ে বারে বারে, মাঝি তার নৌকাখানি বেঁধে রাখে ঘাটের পাড়ে",
    "মুদির দোকানে সন্ধ্যায় আলো জ্বলে, পথের মোড়ে লোকের ভিড় বাড়ে, ছেলেরা খেলা শেষে ঘরে ফেরে আর গল্প করে পরীক্ষার কথা",
    "গ্রামের পাঠশালায় নতুন শিক্ষক এসেছেন, তিনি গণিত পড়ান আর বিকেলে মাঠে ফুটবল খেলতে ডাকেন সবাইকে",
]
TAMIL = [
    "நதியின் கரையில் ஒரு பழைய ஆலமரம் நின்றது, அதன் நிழலில் குழந்தைகள் விளையாடினர், பெரியவர்கள் கதை பேசினர்",
    "மழை பெய்த மாலையில் சந்தை வெறிச்சோடி இருந்தது, கடைக்காரர் விளக்கை ஏற்றி வைத்துவிட்டு வாசலைப் பார்த்தார்",
    "பள்ளியில் புதிய ஆசிரியர் வந்தார், அவர் வானியல் பற்றிச் சொன்ன செய்திகள் மாணவர்களை வியப்பில் ஆழ்த்தின",
    "கடலோர ஊரில் மீனவர்கள் விடியற்காலையில் படகுகளைத் தள்ளினர், காற்று தெற்கிலிருந்து மெல்ல வீசியது",
    "அறுவடை முடிந்த வயலில் கொக்குகள் கூடின, உழவர் தம் மாடுகளை நிழலில் கட்டிவிட்டு உணவருந்தினார்",
]
POEM = "র‍্যাব এল ভোরের আগে নদীর ধারে,\nশাঁখ বাজে দূরে, বৃষ্টি পড়ে বারে বারে।"


def write(path: Path, text: str | bytes | list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(text, list):
        text = "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in text)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", errors="surrogatepass"))
    return path


def gather(source: dict, root: Path, seed: int = 20) -> tuple[list[dict], list[dict]]:
    """(documents, what was dropped and why)"""
    documents, dropped = [], []
    for item, reason in collect(source, "kobita", "documents", "bn", seed, root, root / "store"):
        documents.append(item) if reason is None else dropped.append({**item, **reason})
    return documents, dropped


def ready_folder(root: Path, **splits: list) -> dict:
    """A source of splits: a folder with a JSONL file for each."""
    for name, rows in splits.items():
        write(root / "own" / f"{name}.jsonl", [{"text": row} if isinstance(row, str) else row for row in rows])
    return {**READY, "folder": "own"}


def html(*paragraphs: str, links: tuple[str, ...] = (), title: str = "নদী") -> str:
    anchors = "".join(f'<a href="{link}">পরের</a> ' for link in links)
    body = "".join(f"<p>{text.replace(chr(10), '<br>')}</p>" for text in paragraphs)
    head = f"<!DOCTYPE html><html><head><title>{title}</title></head>"
    return f"{head}<body><nav>{anchors}</nav><article>{body}</article></body></html>"


def outputs(root: Path) -> dict[str, Path]:
    return {name: root / "out" / f"{name}.json" for name in ("documents", "dropped", "counts")}
