"""Zone: who proposes. Agents see copies and rounded scores; nothing here may name a referee's secret."""
