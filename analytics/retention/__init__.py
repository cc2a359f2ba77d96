"""What does service do to renewal? Visits, standstills and payments in, measures and risk out."""
