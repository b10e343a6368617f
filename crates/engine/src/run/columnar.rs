//! The columnar path: time series, datasets and exports, page by page and never row by row.
