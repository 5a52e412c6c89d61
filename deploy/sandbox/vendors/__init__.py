"""Stand-ins for the vendors, as strict as their documents, with faults that can be switched on."""
