/* sim_destination.c - espalier-sim's own build of what it shares with espalier-load. */
#include "../load/destination.c" /* NOLINT(bugprone-suspicious-include) */
