"""The one query that six people ask about the demo athlete."""

SIX_ANSWERS = """
query Athlete($id: ID!) {
  user(id: $id) {
    id
    profile { displayName }
    activities(first: 3) { totalCount nodes { name sport summary { distanceM movingS load } } }
    load(range: {from: "2025-10-01", to: "2025-10-31"}) { day ctl atl tsb }
    clearance { status restrictions }
    medicalRecord(purpose: TREAT) { conditions(first: 2) { nodes { text code { text } } } }
  }
}
"""
