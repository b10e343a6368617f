//! The page about transforms.
