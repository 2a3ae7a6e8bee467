"""What every view needs: who is asking, errors people can act on, health, paging."""
