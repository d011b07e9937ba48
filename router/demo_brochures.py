"""The demonstration's documents: a tariff and a guide to its installation, made up and printed at its first start."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from router import printing
from router.actions import stocking
from router.book import Book
from router.model.base import vouched
from router.store import brochures, configuration

PRINTED_AT = datetime(2026, 11, 1, tzinfo=UTC)
FOOT = "Luz Clara Demo SL · +1 202-555-0100"
TITLES = (
    stocking.Titles("Tarifas", {"en": "Tariffs", "it": "Tariffe", "ru": "Тарифы"}),
    stocking.Titles("Guía de instalación", {"en": "Installation guide", "it": "Guida all'installazione",
                                            "ru": "Как проходит установка"}),
)  # fmt: skip
SAID: tuple[Mapping[str, Any], ...] = (
    {
        "title": "Tarifas", "subtitle": "Tarifa Plana Solar 24 h: siempre lo mismo, gaste lo que gaste.",
        "sections": [
            {"title": "Cada mes", "pairs": [["Tarifa Plana Solar 24 h", "49,90 €"]]},
            {"title": "Una sola vez", "pairs": [["Alta e instalación", "99,00 €"], ["Cargador de coche", "450,00 €"]]},
            {"title": "Condiciones", "pairs": [["Permanencia", "ninguna"], ["Garantía", "tres años"]]},
        ],
        "notes": ["Precios sin impuestos. Es una demostración: nadie vende nada de esto."], "foot": FOOT,
    },
    {
        "title": "Guía de instalación", "subtitle": "Qué pasa desde la firma hasta el primer kilovatio.",
        "sections": [
            {"title": "Antes", "pairs": [["Llamada para acordar el día", "en 2 días"], ["Visita", "1 hora"]]},
            {"title": "El día", "pairs": [["Montaje", "de 4 a 6 horas"], ["Corte de luz", "unos 20 minutos"]]},
            {"title": "Después", "pairs": [["Legalización", "la hacemos nosotros"]]},
        ],
        "notes": ["Alguien mayor de edad debe estar en casa. Es una demostración."], "foot": FOOT,
    },
)


async def bring(book: Book, campaign_key: str) -> int:
    """Puts them into this campaign's library, unless it was ever filled; how many came in now."""
    async with book.reading() as r:
        campaign = vouched(await configuration.campaign(r.session, campaign_key))
        if await brochures.ever(r.session, campaign.id):
            return 0
    files = [await asyncio.to_thread(_printed, said) for said in SAID]
    async with book.writing() as w:
        for file, titles in zip(files, TITLES, strict=True):
            await stocking.add(w, campaign.id, file, titles)
    return len(files)


def _printed(said: Mapping[str, Any]) -> stocking.Examined:
    return stocking.examine(printing.brochure(said, "es", "Luz Clara", PRINTED_AT))
