/* The last stage. */
#include "core/low.h"
#include "join/high.h"
#include "espalier/espalier.h"
