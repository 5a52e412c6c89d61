"""The application's database: tables, migrations, and a store with one method per transaction."""
