import numpy as np
import tifffile

from noisediag.reports.maps import sigma_map


def test_the_map_reads_back_as_float32_dn(tmp_path):
    sigma_dn = np.linspace(1.0, 9.0, 12).reshape(3, 4)
    sigma_map(sigma_dn, tmp_path / "map.part")
    back = tifffile.imread(tmp_path / "map.part")
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, sigma_dn.astype(np.float32))
