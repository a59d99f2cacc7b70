//! Targets: what each can say, emit, and decode from the bytes.
