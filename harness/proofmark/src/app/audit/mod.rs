//! What a live system would not report by itself: alerts that can never fire, targets that are down. Its result can be
//! written as scenarios that guard what is well.

pub mod guard;
pub mod prometheus;
pub mod result;
