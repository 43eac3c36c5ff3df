//! Data in the company of other rooms: derivatives of tables.

mod table;
