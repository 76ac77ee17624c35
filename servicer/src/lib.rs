//! The relay miner of a supplier: validates, meters, asks the backend, signs, records, claims, proves.
