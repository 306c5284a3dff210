"""`make kills`: workflows run while their services are killed; afterwards every book is compared."""
