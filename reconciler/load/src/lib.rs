//! Bytes of a tree become Desired: Nickel, pipelines, forms, knowledge, sealed files.
