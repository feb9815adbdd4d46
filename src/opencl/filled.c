#include "loader.h"

void ncl_api_filled(struct ncl_api *api)
{
    (void)api;
}
