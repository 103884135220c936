"""Invented names for the demo's market; any likeness to a real company, family or fund is chance."""

from __future__ import annotations

# ticker, name, sector
_SECURITIES = """
ALDM Aldermere Power|utilities
ASHB Ashbrook Railways|industry
AUVO Auvona Health|health
BALO Balovar Software|technology
BRKW Brackwater Foods|consumer
BRIS Brisance Energy|energy
CALD Caldrith Insurance|finance
CARN Carnaby Mills Textiles|consumer
CINQ Cinquefoil Bank|finance
COVN Covenhall Properties|finance
CRAY Craymoor Aggregates|industry
DALV Dalvenne Pharma|health
DORN Dornwick Shipping|industry
DUNE Dunemark Solar|energy
ELVR Elverstone Semiconductors|technology
EMBR Embercote Gas|energy
ESKE Eskelund Robotics|technology
FARO Farrowgate Hotels|consumer
FENL Fenlow Water|utilities
FJOR Fjordane Salmon|consumer
GALV Galvaron Steel|industry
GLEN Glenhollow Spirits|consumer
GRAV Gravenor Mining|energy
HALC Halcyra Biotech|health
HARR Harrowmere Stores|consumer
HELV Helvarin Diagnostics|health
IDRA Idralis Networks|technology
INGL Inglestane Cement|industry
IRON Ironvale Tools|industry
JUNI Junipera Cosmetics|consumer
KELM Kelmarsh Media|technology
KIRK Kirkenau Grid|utilities
LARK Larkhythe Airlines|industry
LINX Linxby Payments|finance
LUMA Lumanesse Displays|technology
MARW Marwood Timber|industry
MERI Meridale Devices|health
MOSS Mossgarth Foods|consumer
NARR Narrabay Storage|technology
NIMB Nimbrel Cloud|technology
NORD Nordhavn Wind|energy
OAKE Oakenshaw Lenders|finance
OMBG Omberg Industries|industry
ORLA Orlandry Clinics|health
PELL Pellimore Paper|industry
PRES Prestwold Assurance|finance
QUIL Quillon Publishing|consumer
RAVN Ravenspur Defence|industry
RIDG Ridgemont Brewers|consumer
ROSK Roskeld Refining|energy
SELK Selkath Vaccines|health
SOLV Solvane Chemicals|industry
STRA Strathvey Trust Bank|finance
TARN Tarnside Waterworks|utilities
THAL Thalassine Cables|technology
TORV Torvald Heating|utilities
ULSW Ulswick Markets|finance
VANE Vanecross Engines|industry
VESP Vesperine Games|technology
WEXL Wexlow Genomics|health
"""
UNPRICED = ("NOVQ", "Novaquay Holdings (not yet listed)")
PRICEY = "OMBG"  # one share costs more than a small portfolio's band allows

SECURITIES: tuple[tuple[str, str, str], ...] = tuple(
    (line[:4], line[5:].partition("|")[0], line.partition("|")[2]) for line in _SECURITIES.strip().splitlines()
)

FAMILIES = [
    "Abernethy-Lowe",
    "Ainsgarth",
    "Albrecht-Moor",
    "Arkwold",
    "Bellamont",
    "Birchfield-Ruiz",
    "Blakeney-Osei",
    "Brannoch",
    "Calloway-Stern",
    "Castellane",
    "Corrigan-Vale",
    "Dalrymple-Ito",
    "Denholm",
    "Dovercourt",
    "Eastergate",
    "Ellingsen-Roy",
    "Fairholme",
    "Farquarson",
    "Fenwick-Lund",
    "Galbraith-Noor",
    "Gillespie-Haas",
    "Hallamshire",
    "Harcastle",
    "Hollingbourne",
    "Inverleith",
    "Jessamy",
    "Kettleburn",
    "Kinnaird-Sato",
    "Lanyon-Meyer",
    "Larkspur",
    "Lindqvist-Hale",
    "Mallory-Okafor",
    "Marchmont",
    "Merriwether",
    "Northmoor",
    "Oldacre",
    "Pemberly-Costa",
    "Quarrington",
    "Rainsforth",
    "Rosehaugh",
]
HOLDERS = ("Family", "Foundation", "Pension Fund")
