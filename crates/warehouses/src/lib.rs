//! tidegate warehouses
