/* Beside the folders, and after them. */
#include "core/low.h"
#include "join/far/far.h"
