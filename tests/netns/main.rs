//! Real programs, servers and traffic between network namespaces.

mod beds;
