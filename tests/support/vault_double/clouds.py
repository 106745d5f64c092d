"""Host names of the clouds."""

from dataclasses import dataclass


@dataclass
class Cloud:
    vault: str   # suffix of the hosts, without the dot
    hsm: str
    logins: list
    other_resources: list  # that tokens can be had for, but no vault takes

    def suffixes(self):
        return [self.vault, self.hsm]

    def resources(self):
        return [f"https://{suffix}" for suffix in self.suffixes()] + self.other_resources


def known_clouds():
    return {
        "public": Cloud("vault.azure.net", "managedhsm.azure.net",
                        ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com",
                         "sts.windows.net"],
                        ["https://management.azure.com", "https://storage.azure.com"]),
        "usgovernment": Cloud("vault.usgovcloudapi.net", "managedhsm.usgovcloudapi.net",
                              ["login.microsoftonline.us"],
                              ["https://management.usgovcloudapi.net"]),
        "china": Cloud("vault.azure.cn", "managedhsm.azure.cn",
                       ["login.chinacloudapi.cn", "login.partner.microsoftonline.cn"],
                       ["https://management.chinacloudapi.cn"]),
    }


def certificate_hosts(clouds):
    found = ["localhost", "*.managedhsm.chinacloudapi.cn"]
    for cloud in clouds:
        found += [f"*.{suffix}" for suffix in cloud.suffixes()] + cloud.logins
    return found
