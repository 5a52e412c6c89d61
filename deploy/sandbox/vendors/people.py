"""Who has which account at each stand-in, as `amend people import` takes it."""

PEOPLE_CSV = """slack_user,vendor,account,role,scope
U0MARA,qualys,mlindqvist,Manager,
U0UMAR,qualys,uhaddad,Unit Manager,London;10.10.20.0/24
U0SAMI,qualys,sito,Scanner,
U0ONCA,qualys,oreyes,Manager,
U0MARA,ccs,northwind\\mlindqvist,Remediation Administrator,
U0ONCA,ccs,northwind\\oreyes,Remediation Administrator,
U0UMAR,ccs,northwind\\uhaddad,Standard User,
U0MARA,xpanse,mara.lindqvist@northwind.example,Instance Administrator,
U0ONCA,xpanse,onca.reyes@northwind.example,Investigator,
U0UMAR,xpanse,umar.haddad@northwind.example,Responder,
U0SAMI,xpanse,sami.ito@northwind.example,Viewer,
U0MARA,zstack,mara,admin,
U0ONCA,zstack,onca,approver,
U0UMAR,zstack,umar,owner,
"""
